# From firmware to lamprey_boot64, the page tables, and the stacks.

    .set CR0, 0x80010033            # PG WP NE ET MP PE
    .set CR4, 0x620                 # OSXMMEXCPT OSFXSR PAE
    .set EFER, 0x901                # NXE LME SCE
    .set STACKS_PER_CPU, 0xc000     # as in tables.rs

# PVH: a 32-bit entry with flat segments and paging off (Xen, docs/misc/pvh.pandoc).
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long pvh_start

    .section .boot, "ax"
    .code32
    .globl pvh_start
pvh_start:
    cli
    cld
    movl $1, booted_by_firmware
    lgdt boot_gdtr
    movl $CR4, %eax
    movl %eax, %cr4
    movl $boot_page_tables, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $EFER, %eax
    wrmsr
    movl $CR0, %eax
    movl %eax, %cr0
    ljmp $0x08, $first_cpu

# The other CPU starts in real mode at the page the start-up IPI names: a copy of this.
    .code16
    .globl ap_trampoline, ap_trampoline_end
ap_trampoline:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl 0x8000 + (trampoline_gdtr - ap_trampoline)
    movl $CR4, %eax
    movl %eax, %cr4
    movl $boot_page_tables, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $EFER, %eax
    wrmsr
    movl $CR0, %eax
    movl %eax, %cr0
    ljmpl $0x08, $second_cpu
    .balign 4
trampoline_gdtr:
    .word 0x1f
    .long boot_gdt
ap_trampoline_end:

    .code64
first_cpu:
    xorl %edi, %edi
    jmp 1f
second_cpu:
    movl $1, %edi
1:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %eax, %fs
    movl %eax, %gs

# RDI is the number of the CPU.
    .globl lamprey_boot64
lamprey_boot64:
    imulq $STACKS_PER_CPU, %rdi, %rsp
    addq $stacks + STACKS_PER_CPU, %rsp
    xorl %ebp, %ebp
    call start
    ud2

    .section .data
    .balign 8
boot_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
boot_gdtr:
    .word 0x1f
    .long boot_gdt
    .globl booted_by_firmware
    .balign 4
booted_by_firmware:
    .long 0

# Physical addresses 0 to 4 GiB at the same linear addresses, supervisor, writable, 2-MiB pages.
    .balign 4096
    .globl boot_page_tables
boot_page_tables:
    .quad boot_pdpt + 7
    .fill 511, 8, 0
boot_pdpt:
    .quad boot_pd + 3, boot_pd + 0x1003, boot_pd + 0x2003, boot_pd + 0x3003
    .fill 508, 8, 0
boot_pd:
    .set page, 0
    .rept 2048
    .quad (page << 21) + 0x83
    .set page, page + 1
    .endr

    .section .bss
    .balign 4096
    .globl stacks
stacks:
    .skip 2 * STACKS_PER_CPU
