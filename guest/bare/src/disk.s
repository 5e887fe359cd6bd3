# The first sector of a disk with this image, for machines that boot from nothing else.
#
# At byte 8: number of sectors that follow, a multiple of 32; the maker of the disk fills it in. They are
# the image from 1 MiB on.

    .section .bootsector, "", @progbits
    .code16
bootsector:
    cli
    jmp 1f
    .balign 8
sectors:
    .long 0
1:  xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $0x7c00, %sp
    movl 0x7c00 + (sectors - bootsector), %ebp
2:  movw $0x7c00 + (packet - bootsector), %si
    movb $0x42, %ah
    int $0x13
    jc 3f
    addw $0x400, 0x7c00 + (segment - bootsector)
    addl $32, 0x7c00 + (block - bootsector)
    subl $32, %ebp
    ja 2b
    cli
    inb $0x92, %al
    orb $2, %al
    outb %al, $0x92
    lgdtl 0x7c00 + (disk_gdtr - bootsector)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x08, $0x7c00 + (4f - bootsector)
3:  hlt
    jmp 3b

    .code32
4:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    cld
    movl 0x7c00 + (sectors - bootsector), %ecx
    shll $7, %ecx
    movl $0x10000, %esi
    movl $0x100000, %edi
    rep movsl
    movl $0x200000, %ecx
    subl %edi, %ecx
    shrl $2, %ecx
    xorl %eax, %eax
    rep stosl
    movl $pvh_start, %eax
    jmp *%eax

    .balign 8
packet:
    .byte 16, 0
    .word 32, 0
segment:
    .word 0x1000
block:
    .quad 1
disk_gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
disk_gdtr:
    .word 23
    .long 0x7c00 + (disk_gdt - bootsector)
    .org 510
    .word 0xaa55
    .text
    .code64
