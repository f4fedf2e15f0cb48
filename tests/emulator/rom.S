/* The 64 KiB below 4 GiB, where a PC starts: from the reset vector to 32-bit mode, then SECTORS
   sectors from the first disk to 1 MiB and into them. In place of a BIOS and a boot loader. */
    .set BASE, 0xffff0000
    .set LOAD, 0x100000
    .set CHUNK, 128                 /* sectors a command */
    .set DISK, 0x1f0                /* registers of the first ATA controller */

    .code16
rom:
start:
    cli
    lgdtl %cs:(gdt_pointer - rom)
    mov %cr0, %eax
    or $1, %al                      /* protected mode */
    mov %eax, %cr0
    ljmpl $8, $(BASE + protected_mode - rom)

    .code32
protected_mode:
    mov $16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    cld
    mov $LOAD, %edi
    xor %ebx, %ebx                  /* the sector */
chunk:
    mov $DISK + 6, %dx              /* master, sectors counted from 0 */
    mov $0xe0, %al
    out %al, %dx
    mov $DISK + 2, %dx
    mov $CHUNK, %al
    out %al, %dx
    inc %dx
    mov %bl, %al
    out %al, %dx
    inc %dx
    mov %bh, %al
    out %al, %dx
    inc %dx
    xor %al, %al
    out %al, %dx
    mov $DISK + 7, %dx
    mov $0x20, %al                  /* read sectors */
    out %al, %dx
    mov $CHUNK, %esi
sector:
    mov $DISK + 7, %dx
wait:
    in %dx, %al
    and $0x88, %al
    cmp $0x08, %al                  /* not busy, data there */
    jne wait
    mov $DISK, %dx
    mov $256, %ecx
    rep insw
    dec %esi
    jnz sector
    add $CHUNK, %ebx
    cmp $SECTORS, %ebx
    jb chunk
    mov $LOAD, %eax
    jmp *%eax

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff        /* code, all 4 GiB */
    .quad 0x00cf93000000ffff        /* data, all 4 GiB */
gdt_pointer:
    .word . - gdt - 1
    .long BASE + gdt - rom

    .org 0xfff0
    .code16
    jmp start
    .org 0x10000
