; screen.asm - a boot sector for screen.sh: three pictures, a key after each
;
; 1. mode 13h: pixel (x, y) has color x + 3y
; 2. mode 12h by the BIOS: (i, i) has color i mod 16
; 3. VBE, 1920x1080 of 32 bits, linear: red is x, green y, blue x + y
org 0x7c00
bits 16
	xor ax, ax
	mov ds, ax
	mov ss, ax
	mov sp, 0x7c00
	cld

	mov ax, 0x13
	int 0x10
	mov ax, 0xa000
	mov es, ax
	xor di, di
	xor bx, bx				; 3y
	mov dx, 200
.y13:	mov cx, 320
	mov ax, bx
.x13:	stosb
	inc ax
	loop .x13
	add bx, 3
	dec dx
	jnz .y13
	call key

	mov ax, 0x12
	int 0x10
	xor cx, cx
.p12:	mov dx, cx
	mov al, cl
	and al, 15
	mov ah, 0x0c
	xor bh, bh
	int 0x10
	inc cx
	cmp cx, 480
	jb .p12
	call key

	xor ax, ax				; the mode, by its size
	mov es, ax
	mov di, 0x8000
	mov dword [di], 'VBE2'
	mov ax, 0x4f00
	int 0x10
	lfs si, [0x8000 + 14]
	mov di, 0x9000
.next:	mov cx, [fs:si]
	add si, 2
	cmp cx, -1
	je halt
	mov ax, 0x4f01
	int 0x10
	cmp dword [0x9000 + 18], 1080 << 16 | 1920
	jne .next
	cmp byte [0x9000 + 25], 32
	jne .next
	mov bx, cx
	or bx, 0x4000
	mov ax, 0x4f02
	int 0x10
	cmp ax, 0x4f
	jne halt

	cli
	lgdt [gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp 8:flat
key:	xor ah, ah
	int 0x16
	ret
halt:	hlt
	jmp halt

bits 32
flat:	mov ax, 16
	mov ds, ax
	mov es, ax
	mov edi, [0x9000 + 40]
	xor edx, edx
.y:	xor ecx, ecx
.x:	mov eax, ecx
	shl eax, 8
	mov al, dl
	shl eax, 8
	lea ebx, [ecx + edx]
	mov al, bl
	stosd
	inc ecx
	cmp ecx, 1920
	jb .x
	inc edx
	cmp edx, 1080
	jb .y
.end:	hlt
	jmp .end

gdt:	dq 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdtr:	dw $ - gdt - 1
	dd gdt
	times 510 - ($ - $$) db 0
	dw 0xaa55
