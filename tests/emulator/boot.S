/* From 32-bit mode to a C program in long mode that may use every vector and tile register the CPU
   has, but no more than XCR0_MASK: an operating system that saves fewer registers. Each system call
   returns SYSTEM_CALL. */
    .section .boot, "ax"
    .code32
    .globl _start
_start:
    mov $stack_top, %esp
    mov $bss_start, %edi
    mov $bss_end, %ecx
    sub %edi, %ecx
    xor %eax, %eax
    rep stosb

    /* Identity map of 4 GiB in pages of 2 MiB. */
    mov $page_directories + 3, %eax
    mov $pointers, %edi
    mov $4, %ecx
1:  mov %eax, (%edi)
    add $0x1000, %eax
    add $8, %edi
    loop 1b
    movl $pointers + 3, root
    mov $0x83, %eax                 /* present, writable, 2 MiB */
    mov $page_directories, %edi
    mov $2048, %ecx
2:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 2b
    mov $root, %eax
    mov %eax, %cr3

    mov $1, %eax
    cpuid
    mov $0x620, %eax                /* CR4: PAE, OSFXSR, OSXMMEXCPT */
    bt $26, %ecx                    /* no XSAVE, no vectors beyond SSE */
    jnc 3f
    or $0x40000, %eax               /* OSXSAVE */
    mov %eax, %cr4
    mov $0xd, %eax
    xor %ecx, %ecx
    cpuid
    and $XCR0_MASK, %eax
    xor %edx, %edx
    xor %ecx, %ecx
    xsetbv
    jmp 4f
3:  mov %eax, %cr4
4:
    mov $0xc0000080, %ecx           /* EFER: long mode, system calls */
    rdmsr
    or $0x101, %eax
    wrmsr
    mov $0xc0000081, %ecx           /* STAR: they run in this code segment */
    mov $8, %edx
    xor %eax, %eax
    wrmsr
    mov $0xc0000082, %ecx           /* LSTAR */
    xor %edx, %edx
    mov $system_call, %eax
    wrmsr
    mov $0xc0000084, %ecx           /* FMASK: flags stay */
    xor %eax, %eax
    wrmsr
    mov %cr0, %eax
    and $0xfffffffb, %eax           /* no emulation of the FPU */
    or $0x80000002, %eax            /* paging, monitor coprocessor */
    mov %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $long_mode

    .code64
long_mode:
    mov $16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    call main
    hlt
system_call:
    mov $SYSTEM_CALL, %rax
    jmp *%rcx

    .balign 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff        /* 64-bit code */
    .quad 0x00cf93000000ffff        /* data */
gdt_pointer:
    .word . - gdt - 1
    .long gdt

    .section .rodata
    .globl images
    .balign 64
images:
    .incbin IMAGES

    .bss
    .balign 4096
root:
    .skip 4096
pointers:
    .skip 4096
page_directories:
    .skip 4 * 4096
    .skip 1 << 20
stack_top:
    .section .note.GNU-stack, "", @progbits
