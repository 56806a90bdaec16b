/*
 * linuxrom.S - the option ROM that starts a Linux kernel which the host gives
 *
 * A BIOS finds it among the configuration device's files and takes its entry for
 * one more thing to boot from. It asks that device for four items, each with a
 * size and an address of its own, lets the device copy them there, and jumps
 * to the kernel's setup code as a boot loader of the BIOS's would: so the kernel
 * asks the BIOS itself for memory, video modes and disks.
 *
 * Code of the guest: the host only carries the bytes and fills in the checksum
 * (linux16.c). All addresses are offsets in the ROM.
 *
 * Spec     [BIOS Boot Specification] 1.01 appendix A, D; [PnP BIOS] 1.0A 3.2;
 *          QEMU docs/specs/fw_cfg; [Linux/x86 boot protocol] 1.15 running the kernel
 * Missing  what to do when the device fails: it says so and stops
 */
	.section .rodata
	.code16
	.globl fw_linuxrom, fw_linuxrom_end
	.balign 16
fw_linuxrom:
	.byte 0x55, 0xaa
	.byte (fw_linuxrom_end - fw_linuxrom) / 512
	lret				/* 3: nothing to initialise */
	.org fw_linuxrom + 0x1a
	.word pnp - fw_linuxrom
	.balign 16
pnp:	.ascii "$PnP"
	.byte 1, 2			/* revision, length in 16 bytes */
	.word 0				/* no other header */
	.byte 0, 0			/* checksum: the host's, as the ROM's own */
	.long 0
	.word 0				/* no manufacturer */
	.word name - fw_linuxrom
	.byte 0, 0, 0			/* no class of devices */
	.byte 0
	.word 0, 0			/* no vectors but... */
	.word start - fw_linuxrom	/* ...this one, to boot */
	.word 0, 0
name:	.asciz "Linux of the host"

	/* Items: of their size, address and bytes. */
items:	.byte 0x17, 0x16, 0x18		/* setup */
	.byte 0x08, 0x07, 0x11		/* kernel */
	.byte 0x14, 0x13, 0x15		/* command line */
	.byte 0x0b, 0x0a, 0x12		/* initial RAM disk */
	.byte 0
failed:	.asciz "The host did not give the kernel.\r\n"

start:	cli
	cld
	push %cs
	pop %ds
	mov $(items - fw_linuxrom), %si
next:	xor %ax, %ax
	lodsb
	test %al, %al
	jz go
	call number
	mov %edx, %ebx			/* size */
	xor %ax, %ax
	lodsb
	call number			/* address in EDX */
	xor %ax, %ax
	lodsb
	test %ebx, %ebx
	jz next
	call copy
	jmp next

/* EDX = the number that is item AX. */
number:	push %cx
	mov $0x510, %dx
	out %ax, %dx
	inc %dx
	mov $4, %cx
1:	shr $8, %edi			/* little-endian: the last byte is the highest */
	in (%dx), %al
	movzbl %al, %eax
	shl $24, %eax
	or %eax, %edi
	loop 1b
	mov %edi, %edx
	pop %cx
	ret

/* Item AX, EBX bytes, to EDX: a request on the stack, in big-endian. */
copy:	push %bp
	movzwl %ax, %eax
	bswap %edx
	push %edx
	pushl $0
	bswap %ebx
	push %ebx
	shl $16, %eax
	or $0x0a, %eax			/* select, read */
	bswap %eax
	push %eax
	mov %sp, %bp
	xor %ecx, %ecx
	mov %ss, %cx
	shl $4, %ecx
	movzwl %sp, %eax
	add %eax, %ecx
	bswap %ecx
	mov $0x514, %dx
	xor %eax, %eax
	out %eax, %dx
	mov $0x518, %dx
	mov %ecx, %eax
	out %eax, %dx
1:	mov (%bp), %eax			/* 0 when done */
	bswap %eax
	test %eax, %eax
	jz 2f
	test $1, %al
	jz 1b
	mov $(failed - fw_linuxrom), %si
	jmp say
2:	add $16, %sp
	pop %bp
	ret

say:	lodsb
	test %al, %al
	jz stop
	mov $0x0e, %ah
	xor %bx, %bx
	int $0x10
	jmp say
stop:	hlt
	jmp stop

/* To the setup code, 512 bytes behind its start. */
go:	mov $0x16, %ax
	call number
	shr $4, %edx
	mov %dx, %ds
	mov %dx, %es
	mov %dx, %fs
	mov %dx, %gs
	mov %dx, %ss
	mov $0xfff0, %esp
	add $0x20, %dx
	push %dx
	xor %ax, %ax
	push %ax
	xor %eax, %eax
	xor %ebx, %ebx
	xor %ecx, %ecx
	xor %edx, %edx
	xor %esi, %esi
	xor %edi, %edi
	xor %ebp, %ebp
	lret
	.org fw_linuxrom + 1024
fw_linuxrom_end:
	.section .note.GNU-stack, "", @progbits
