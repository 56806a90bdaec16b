; reset.asm - a boot sector, and four more, that try A20, the ways to reset, and x87 errors by IRQ 13
;
; Each step says "reset: NAME good", or what it found. The phase survives in memory
; what resets the machine; that it does is part of the test.
bits 16
org 0x7c00
PHASE	equ 0x600			; "gv", a phase; SeaBIOS clears what lies a little higher
COUNT	equ 0x604			; how often we came back
	jmp 0:start
start:	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	mov ax, 0x0204
	mov bx, 0x7e00
	mov cx, 0x0002
	mov dx, 0x0000
	int 0x13
	jc .bad
	jmp main
.bad:	mov si, t_read
	call say
	jmp stop
stop:	sti
	hlt
	jmp stop
say:	lodsb
	test al, al
	jz .done
	mov ah, 0x0e
	xor bx, bx
	int 0x10
	jmp say
.done:	ret
t_read:	db 'reset: cannot read', 13, 10, 0
	times 510 - ($ - $$) db 0
	dw 0xaa55

good:	call say			; the name is in SI
	mov si, t_good
	jmp say
wrong:	call say
	mov si, t_bad
	call say
	jmp stop

; AL = 1: what is 1 MiB up is itself; 0: it is what lies at 0.
a20:	push es
	push word 0xffff
	pop es
	mov word [0x9100], 0x1234
	mov word [es:0x9110], 0x4321
	xor ax, ax
	cmp word [0x9100], 0x1234
	jne .off
	inc ax
.off:	pop es
	ret
%macro A20_IS 2				; what to say, what it must be
	call a20
	cmp al, %2
	mov si, %1
	jne wrong
%endmacro

kbc:	in al, 0x64			; waits until it takes bytes
	test al, 2
	jnz kbc
	ret
%macro KBC 1
	call kbc
	mov al, %1
	out 0x64, al
%endmacro

main:	cmp word [PHASE], 'gv'
	jne first
	mov al, [PHASE + 2]
	cmp al, 1
	je after_cf9
	cmp al, 2
	je after_kbc
	cmp al, 3
	je after_triple
first:	mov si, t_begun
	call say

	A20_IS t_start, 1
	in al, 0x92
	and al, 0xfc
	out 0x92, al
	A20_IS t_p92, 0
	or al, 2
	in al, 0x92
	or al, 2
	and al, 0xfe
	out 0x92, al
	A20_IS t_p92, 1
	mov si, t_p92
	call good

	cli
	KBC 0xd1
	call kbc
	mov al, 0xdd
	out 0x60, al
	call kbc
	A20_IS t_kbc, 0
	KBC 0xd1
	call kbc
	mov al, 0xdf
	out 0x60, al
	call kbc
	A20_IS t_kbc, 1
	KBC 0xdd
	call kbc
	A20_IS t_kbc, 0
	mov ax, 0x2402			; the BIOS sees what the other switch did
	int 0x15
	cmp al, 0
	mov si, t_kbc
	jne wrong
	; It works above 1 MiB: it must open the line for itself, and close it again.
	mov ah, 0x88
	int 0x15
	A20_IS t_kbc, 0
	KBC 0xdf
	call kbc
	A20_IS t_kbc, 1
	sti
	mov si, t_kbc
	call good

	mov ax, 0x2400
	int 0x15
	A20_IS t_int15, 0
	mov ax, 0x2401
	int 0x15
	A20_IS t_int15, 1
	mov si, t_int15
	call good

; ---- resets of the processor, back through 40:67 -------------------------------------------
	mov dword [COUNT], 0
	mov word [0x467], back
	mov word [0x469], 0
again:	cli
	mov al, 0x8f
	out 0x70, al
	mov al, 0x0a
	out 0x71, al
	in al, 0x92			; A20 off: the way back must not depend on it
	and al, 0xfc
	out 0x92, al
	lgdt [gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax			; as a 286 program that cannot come back otherwise
	jmp 8:.pm
.pm:	mov ax, 16
	mov ss, ax
	mov ds, ax
	mov al, [COUNT]
	cmp al, 0
	je .p92
	cmp al, 1
	je .fe
	cmp al, 2
	je .cf9
	lidt [no_idt]			; a shutdown
	int3
.p92:	mov al, 1
	out 0x92, al
	jmp lost
.fe:	in al, 0x64
	test al, 2
	jnz .fe
	mov al, 0xfe
	out 0x64, al
	jmp lost
.cf9:	mov dx, 0xcf9
	mov al, 0
	out dx, al
	mov al, 4
	out dx, al
lost:	jmp lost			; never more than what was fetched already

back:	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	cld
	mov eax, cr0
	test al, 1
	mov si, t_mode
	jnz wrong
	mov al, 0x8f
	out 0x70, al
	mov al, 0
	out 0x71, al
	sti				; interrupts come as before
	mov eax, [0x46c]
	mov ecx, 0x4000000
.tick:	cmp eax, [0x46c]
	jne .ticks
	dec ecx
	jnz .tick
	mov si, t_tick
	jmp wrong
.ticks:	movzx si, byte [COUNT]
	shl si, 1
	mov si, [names + si]
	call good
	inc byte [COUNT]
	cmp byte [COUNT], 4
	jb again

; ---- x87 errors ------------------------------------------------------------------------
	mov eax, cr0
	and al, 0xd1			; no NE, TS, EM
	mov cr0, eax
	mov word [0x75 * 4], irq13
	mov word [0x75 * 4 + 2], 0
	in al, 0xa1
	and al, 0xdf
	out 0xa1, al
	mov word [0x9010], 0
	fninit
	fldcw [unmasked]
	fld1
	fldz
	fdivp
	fld1				; meets it, and waits for the handler
	cmp word [0x9010], 1
	mov si, t_x87
	jne wrong
	fnstsw ax
	test al, 0x84
	jnz wrong
	mov word [0x9010], 0		; again: it was no latch that stuck
	fldz
	fdivp
	fwait
	cmp word [0x9010], 1
	jne wrong
	call good

; ---- resets of the machine; memory stays ------------------------------------------------
	mov dword [PHASE], 'gv' | 1 << 16
	mov dx, 0xcf9
	mov al, 2
	out dx, al
	mov al, 6
	out dx, al
	jmp $
after_cf9:
	mov si, t_hard
	call good
	mov byte [PHASE + 2], 2
	cli
	KBC 0xfe			; with no shutdown code the BIOS starts all anew
	jmp $
after_kbc:
	mov si, t_reboot
	call good
	mov byte [PHASE + 2], 3
	lidt [no_idt]
	int3
	jmp $
after_triple:
	mov si, t_triple
	call good
	mov si, t_end
	call say
	jmp stop

irq13:	push ax
	inc word [0x9010]
	mov al, 0
	out 0xf0, al
	fstsw ax			; waits: IGNNE# lets it
	mov [0x9012], ax
	fnclex
	mov al, 0x20
	out 0xa0, al
	out 0x20, al
	pop ax
	iret

unmasked: dw 0x037b
no_idt:	dw 0, 0, 0
align 8
gdt:	dq 0, 0x008f9b000000ffff, 0x008f93000000ffff
gdtr:	dw $ - gdt - 1
	dd gdt
names:	dw t_r92, t_rfe, t_rcf9, t_rtri
t_begun: db 13, 10, 'reset: begun', 13, 10, 0
t_good:	db ' good', 13, 10, 0
t_bad:	db ' BAD', 13, 10, 0
t_start: db 'reset: a20 at start', 0
t_p92:	db 'reset: a20 by port 92', 0
t_kbc:	db 'reset: a20 by i8042', 0
t_int15: db 'reset: a20 by int 15', 0
t_mode:	db 'reset: real mode', 0
t_tick:	db 'reset: clock after reset', 0
t_r92:	db 'reset: by port 92', 0
t_rfe:	db 'reset: by i8042', 0
t_rcf9:	db 'reset: by cf9', 0
t_rtri:	db 'reset: by shutdown', 0
t_x87:	db 'reset: x87 error', 0
t_hard:	db 'reset: machine by cf9', 0
t_reboot: db 'reset: machine by i8042', 0
t_triple: db 'reset: machine by shutdown', 0
t_end:	db 'reset: end', 13, 10, 0
	times 512 * 5 - ($ - $$) db 0
