/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the firmware to C.
 *
 *   firmware (our own, ../reset.S, on microvm; SeaBIOS on q35)
 *      | as PVH has it: 32-bit protected mode, flat segments, no paging, interrupts off
 *      v
 *   start32    4 GiB mapped one to one by 2 MiB pages, SSE on, long mode on
 *      v
 *   start64    stack, then boot() in main.c, which never returns
 *
 * And the way into trap(): every vector has its own stack (IST), since functions are compiled with a red
 * zone below theirs. User code may have been running with trusted memory closed; trap() needs it open.
 * Nothing returns from there to user code, so opening it gives nothing away.
 */
	.section .note.pvh, "a", @note
	.align	4
	.long	4, 4, 18			/* name and value bytes; XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	start32

	.section .text.boot, "ax"
	.code32
	.globl	start32
start32:
	cli
	movl	$boot_stack_top, %esp
	movl	$boot_pml4, %edi
	movl	$boot_pdpt + 3, (%edi)		/* present, writable */
	movl	$boot_pdpt, %edi
	movl	$boot_pd + 3, %eax
	movl	$4, %ecx
1:	movl	%eax, (%edi)
	addl	$4096, %eax
	addl	$8, %edi
	loop	1b
	movl	$boot_pd, %edi
	movl	$0x83, %eax			/* … and a large page */
	movl	$2048, %ecx
2:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	loop	2b
	movl	$boot_pml4, %eax
	movl	%eax, %cr3
	movl	%cr4, %eax
	orl	$0x620, %eax			/* PAE, OSFXSR, OSXMMEXCPT */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx		/* EFER: LME, NXE; no SCE: SYSCALL is undefined here */
	rdmsr
	orl	$0x900, %eax
	wrmsr
	movl	%cr0, %eax
	andl	$~4, %eax			/* not EM */
	orl	$0x80010003, %eax		/* PG, WP, MP, PE */
	movl	%eax, %cr0
	lgdt	boot_gdtr
	ljmp	$8, $start64

	.code64
start64:
	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	xorl	%eax, %eax
	movw	%ax, %fs
	movw	%ax, %gs
	movq	$boot_stack_top, %rsp
	xorl	%ebp, %ebp
	call	boot
	ud2

	/* trap stubs: vector n at traps + 16 n. The CPU pushes an error code for some. */
	.text
	.globl	traps
	.align	16
traps:
	vector = 0
	.rept	256
	.align	16
	.if	!((vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21))
	pushq	$0
	.endif
	pushq	$vector
	jmp	common
	vector = vector + 1
	.endr

common:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	movq	%cr4, %rax
	btl	$22, %eax			/* PKE: protection keys are on */
	jnc	3f
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	xorl	%eax, %eax
	wrpkru
3:	movq	%rsp, %rdi
	cld
	call	trap
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

	/* void enter(void (*body)(void), void *stack, uint64_t page_tables): go on elsewhere */
	.globl	enter
enter:
	movq	%rdx, %cr3
	movq	%rsi, %rsp
	xorl	%ebp, %ebp
	call	*%rdi
	ud2

	.data
	.align	8
boot_gdt:
	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdtr:
	.word	23
	.long	boot_gdt, 0

	.bss
	.align	4096
boot_pml4:
	.skip	4096
boot_pdpt:
	.skip	4096
boot_pd:
	.skip	16384
	.skip	16384
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
