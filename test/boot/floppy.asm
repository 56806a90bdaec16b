; floppy.asm - a boot sector that reads the last sector of its disk, and writes it back changed
;
; SPT and CYLS come from the command line. What is read begins with "last", or else.
bits 16
org 0x7c00
	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	mov si, begun
	call say
	mov ax, 0x0201
	call last
	cmp dword [0x8000], 'last'
	jne wrong
	mov dword [0x8000], 'LAST'
	mov ax, 0x0301
	call last
	mov dword [0x8000], 0
	mov ax, 0x0201
	call last
	cmp dword [0x8000], 'LAST'
	jne wrong
	mov si, good
	call say
	jmp stop
last:	mov bx, 0x8000
	mov cx, (CYLS - 1) << 8 | SPT
	mov dx, 0x0100
	int 0x13
	jc wrong
	ret
wrong:	mov si, bad
	call say
stop:	hlt
	jmp stop
say:	lodsb
	test al, al
	jz .done
	mov ah, 0x0e
	xor bx, bx
	int 0x10
	jmp say
.done:	ret
begun:	db 13, 10, 'floppy: begun', 13, 10, 0
good:	db 'floppy: good', 13, 10, 0
bad:	db 'floppy: bad', 13, 10, 0
	times 510 - ($ - $$) db 0
	dw 0xaa55
