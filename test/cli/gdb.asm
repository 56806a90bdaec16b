; gdb.asm - a guest for gdb.sh: two processors, 64-bit mode, code mapped twice and read only
;
; vCPU 0 goes to long mode and counts for ever, with XMM0 and RBX set; vCPU 1 counts in real mode.
; The first MiB is mapped at its own address and at 0xffff800000000000; there is nothing at 2 MiB.
%define counter 0x8000
%define shadow 0x8008
%define apcount 0x8010
%define stack_top 0x9000
bits 32
section .text
global _start, long_mode, first, again, work, constant
	dd 0x1badb002, 0, -0x1badb002
_start:
	mov esp, stack_top
	xor eax, eax				; firmware left tables there
	mov edi, counter
	mov ecx, 8
	rep stosd
	mov esi, ap
	mov edi, 0x7000
	mov ecx, ap_end - ap
	rep movsb
	mov dword [0xfee000f0], 0x1ff		; SVR: on
	mov dword [0xfee00310], 0x01000000	; to APIC 1
	mov dword [0xfee00300], 0x4500		; INIT
	mov dword [0xfee00300], 0x4607		; SIPI at 0x7000
	mov eax, 0x620				; OSXMMEXCPT, OSFXSR, PAE
	mov cr4, eax
	mov eax, pml4
	mov cr3, eax
	mov ecx, 0xc0000080
	rdmsr
	or eax, 0x100
	wrmsr
	mov eax, cr0
	or eax, 0x80010000			; PG, WP
	and eax, ~4
	mov cr0, eax
	lgdt [gdtr]
	jmp 8:long_mode
bits 64
long_mode:
	mov ax, 16
	mov ss, ax
	mov ds, ax
	mov rax, 0x1122334455667788
	movq xmm0, rax
	mov rbx, 0xffff800000100000
	lea rsp, [abs stack_top]
first:
	call work
again:
	inc qword [abs counter]
	pushfq
	pop rdx
	jmp first
work:
	mov rcx, [abs counter]
	mov [abs shadow], rcx
	ret
bits 16
ap:
	xor ax, ax
	mov ds, ax
.loop:	inc dword [apcount]
	jmp .loop
ap_end:

section .data
align 4096
pml4:	dq pdpt + 7
	times 255 dq 0
	dq pdpt + 7
	times 255 dq 0
pdpt:	dq pd + 7
	times 511 dq 0
pd:	dq pt + 7
	times 511 dq 0
pt:
%assign i 0
%rep 256
	dq i * 4096 + 7
%assign i i + 1
%endrep
%rep 16
	dq i * 4096 + 5				; from 1 MiB on: read only
%assign i i + 1
%endrep
	times 240 dq 0
gdt:	dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:	dw 23
	dd gdt
constant: dq 0x5a5a5a5a5a5a5a5a
