; media.asm - a boot sector that says what the second sector begins with, whenever that changes
bits 16
org 0x7c00
	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
again:	xor ax, ax
	xor dx, dx
	int 0x13
	mov dword [0x8000], 'none'
	mov ax, 0x0201
	mov bx, 0x8000
	mov cx, 0x0002
	xor dx, dx
	int 0x13
	jnc .read
	mov dword [0x8000], 'none'
.read:	mov eax, [0x8000]
	cmp eax, [last]
	je again
	mov [last], eax
	mov si, said
.say:	lodsb
	test al, al
	jz again
	mov ah, 0x0e
	xor bx, bx
	int 0x10
	jmp .say
said:	db 'media: '
last:	db '    ', 13, 10, 0
	times 510 - ($ - $$) db 0
	dw 0xaa55
