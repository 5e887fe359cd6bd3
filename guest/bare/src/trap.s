# Entry of every vector, and the operations that may fault.

# 256 entries of 16 bytes. Vectors 8, 10 to 14, 17, 21, 29 and 30 push an error code (SDM vol. 3 §6.13).
    .section .text
    .balign 16
    .globl vectors
vectors:
    .set vector, 0
    .rept 256
    .balign 16
    .if vector < 32
    .if ((0x60227d00 >> vector) & 1) == 0
    pushq $0
    .endif
    .else
    pushq $0
    .endif
    pushq $vector
    jmp common
    .set vector, vector + 1
    .endr

common:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $256, %rsp
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movups %xmm\n, 16*\n(%rsp)
    .endr
    pushfq
    popq %rsi
    movq %rsp, %rdi
    movl %ss, %edx
    cld
    call trap
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movups 16*\n(%rsp), %xmm\n
    .endr
    addq $256, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp
    iretq

# probe(operation, a, b): calls operation(a, b). If that traps, `trap` returns to probe_done instead.
    .globl probe, probe_done, recover
probe:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushfq
    movq %rsp, recover(%rip)
    movq %rdi, %rax
    movq %rsi, %rdi
    movq %rdx, %rsi
    call *%rax
probe_done:
    movq recover(%rip), %rsp
    movq $0, recover(%rip)
    popfq
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

    .globl op_read, op_read8, op_read_stack, op_write, op_call, op_user, op_cr3, op_cr4
    .globl op_iret, op_far_return, op_iret_nested, op_mov_ss, op_mov_ds, op_ltr
    .globl op_int_absent, op_invlpg, op_invpcid, op_ud, op_int3, op_divide, op_int, op_int_trap, op_skewed
op_read:
    movb (%rdi), %al
    ret
op_read8:
    movq (%rdi), %rax
    ret
op_read_stack:
    movq %rdi, %rbp
    movb (%rbp), %al
    ret
op_write:
    movb $0x5a, (%rdi)
    ret
op_call:
    jmp *%rdi
# To CPL 3 at RDI with RSI in RDI. The selectors are those of tables.rs.
op_user:
    pushq $0x23
    pushq $0x1230
    pushq $0x2
    pushq $0x2b
    pushq %rdi
    movq %rsi, %rdi
    iretq
# With a frame at RDI: of five quadwords, of two.
op_iret:
    movq %rdi, %rsp
    iretq
op_far_return:
    movq %rdi, %rsp
    lretq
op_iret_nested:
    movq %rdi, %rsp
    pushfq
    orq $0x4000, (%rsp)
    popfq
    iretq
op_mov_ss:
    movl %edi, %ss
    ret
op_mov_ds:
    movl %edi, %ds
    ret
op_ltr:
    ltr %di
    ret
op_int_absent:
    int $0x85
    ret
op_cr3:
    movq %rdi, %cr3
    ret
op_cr4:
    movq %rdi, %cr4
    ret
op_invlpg:
    invlpg (%rdi)
    ret
op_invpcid:
    invpcid (%rsi), %rdi
    ret
op_ud:
    ud2
op_int3:
    int3
    ret
op_divide:
    xorl %ecx, %ecx
    xorl %edx, %edx
    divl %ecx
    ret
op_int:
    int $0x84
    ret
op_int_trap:
    int $0x82
    ret
# Through a gate without IST, RSP being RDI.
op_skewed:
    movq %rdi, %rsp
    int $0x81
    ud2

# What CPL 3 executes: copied to a user page, position-independent, the argument in RDI.
    .balign 16
    .globl user_start, user_read, user_write, user_jump, user_privileged, user_end
user_start:
user_read:
    movb (%rdi), %al
    int $0x80
user_write:
    movb $0x5a, (%rdi)
    int $0x80
user_jump:
    jmp *%rdi
user_privileged:
    cli
    int $0x80
    .globl user_hlt, user_cr3, user_in, user_popf, user_int_closed, user_stac
user_hlt:
    hlt
    int $0x80
user_cr3:
    movq %cr3, %rax
    int $0x80
user_in:
    inb $0x80, %al
    int $0x80
user_stac:
    stac
    int $0x80
user_int_closed:
    int $0x84
    int $0x80
# All flags on the stack page of the user, if they can be changed.
user_popf:
    movq %rdi, %rsp
    pushq $0x3202
    popfq
    int $0x80
user_end:

# Windows in which an interrupt may come. The labels are the possible return addresses.
    .globl sti_cli, sti_nop_cli, sti_hlt_cli, after_hlt, sti_ss_cli, sti_ss_then_cli, ss_sti_cli, sti_twice_cli, sti_ss_twice_cli, popf_window, after_popf
sti_cli:
    sti
    cli
    ret
sti_nop_cli:
    sti
    nop
    nop
    cli
    ret
sti_hlt_cli:
    sti
    hlt
after_hlt:
    cli
    ret
sti_ss_cli:
    movl %ss, %eax
    sti
    movl %eax, %ss
    nop
    nop
    cli
    ret
sti_ss_then_cli:
    movl %ss, %eax
    sti
    movl %eax, %ss
    cli
    ret
ss_sti_cli:
    movl %ss, %eax
    movl %eax, %ss
    sti
    cli
    ret
sti_twice_cli:
    sti
    sti
    cli
    ret
sti_ss_twice_cli:
    movl %ss, %eax
    sti
    movl %eax, %ss
    movl %eax, %ss
    cli
    ret
popf_window:
    pushfq
    orq $0x200, (%rsp)
    popfq
after_popf:
    nop
    cli
    ret

    .section .data
    .balign 8
recover:
    .quad 0
