/*
 * netrom.S - the option ROM that boots from the network
 *
 * It holds no network code.  A BIOS finds in it one thing to boot, of the
 * network kind; when that is started it has the configuration device put an
 * image in the format of a Linux kernel where such are loaded, and enters it.
 * The image is iPXE, which has drivers for the adapter.
 *
 * It runs from read-only memory, so what the device answers into is elsewhere:
 * two requests at 20000, copied there.  Whatever fails, the BIOS goes on with
 * the next device.
 *
 * Ids, keys, lengths and checksums are filled in by netboot.c.
 *
 * Spec     [PCI Firmware 3.0] 5.1; [PnP BIOS] 3.2 expansion header; [BBS 1.01] 3.3 BEV;
 *          QEMU docs/specs/fw_cfg; Linux Documentation/x86/boot.rst
 */
#define SETUP_SEGMENT 0x1000
#define SCRATCH_SEGMENT 0x2000
#define SCRATCH 0x20000
#define DMA_HIGH 0x514
#define DMA_LOW 0x518

	.section .rodata
	.code16
	.balign 16
	.globl fw_netrom_begin, fw_netrom_end
fw_netrom_begin:
rom:
	.byte 0x55, 0xaa
	.byte (fw_netrom_end - rom) / 512
	lret				/* initialization: there is nothing to do */

	.skip 0x18 - (. - rom)
	.word pcir - rom
	.word pnp - rom

pcir:
	.ascii "PCIR"
	.word 0, 0			/* vendor, device */
	.word 0
	.word 0x18			/* of this structure, revision 0 */
	.byte 0
	.byte 0, 0, 2			/* an Ethernet adapter */
	.word (fw_netrom_end - rom) / 512
	.word 1
	.byte 0, 0x80			/* for PCs; the last image */
	.word 0

	.balign 16
pnp:
	.ascii "$PnP"
	.byte 1, 2			/* revision, length / 16 */
	.word 0
	.byte 0, 0			/* checksum */
	.long 0
	.word maker - rom
	.word product - rom
	.byte 2, 0, 0
	.byte 0x14			/* can be booted from, when the BIOS says so */
	.word 0, 0
	.word boot - rom
	.word 0, 0

	.balign 16
requests:				/* big-endian: control, length, address */
	.skip 32

maker:	.asciz "Genvisor"
product: .asciz "Legacy network adapter"

boot:
	cli
	cld
	xorw %ax, %ax
	movw %ax, %ss
	movw $0x7c00, %sp
	sti
	movw %cs, %ax
	movw %ax, %ds
	movw $SCRATCH_SEGMENT, %ax
	movw %ax, %es
	movw $(requests - rom), %si
	xorw %di, %di
	movw $16, %cx
	rep movsw
	movl $SCRATCH, %ebx
	call fetch
	movl $(SCRATCH + 16), %ebx
	call fetch

	cli
	movw $SETUP_SEGMENT, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	movw %ax, %ss
	movw $0xfff0, %sp
	ljmp $(SETUP_SEGMENT + 0x20), $0

/* The request at EBX, which is in ES too. */
fetch:
	movw $DMA_HIGH, %dx
	xorl %eax, %eax
	outl %eax, %dx
	movl %ebx, %eax
	bswapl %eax
	movw $DMA_LOW, %dx
	outl %eax, %dx
	cmpl $0, %es:(%bx)
	jne fail
	ret

fail:
	int $0x18
1:	hlt
	jmp 1b

	.skip 512 - (. - rom)
fw_netrom_end:

	.section .note.GNU-stack, "", @progbits
