/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The firmware: what a microvm's CPU does from reset until the unikernel's own code (guest/boot.S) runs. rom.c puts
 * this page at the end of a ROM, below 4 GiB, and the image before it; nothing else has to be set up, for
 * the guest finds and places its one device itself.
 *
 *   reset      0xfffffff0, real mode, the last 64 KiB of the ROM in CS
 *   real       32-bit protected mode, flat segments
 *   flat       the image from the ROM to where it was linked to; what follows it is RAM, and zero
 */
#include "dataplanes/sure/unikernel/rom.h"

/* Where a label of this page is. */
#define AT(label) (ROM_RESET + (label) - unikernel_reset)

	.section .rodata
	.globl	unikernel_reset
	.align	64
unikernel_reset:
parcel:						/* struct rom_parcel, filled in by rom.c */
	.long	0, 0, 0, 0
gdt:
	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:
	.word	gdtr - gdt - 1
	.long	AT(gdt)

	.code32
flat:
	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	AT(parcel), %esi
	movl	AT(parcel) + 4, %edi
	movl	AT(parcel) + 8, %ecx
	rep movsl
	jmp	*AT(parcel) + 12

	.code16
real:
	cli
	cld
	lgdtl	%cs:((AT(gdtr)) & 0xffff)
	movl	%cr0, %eax
	andl	$0x9fffffff, %eax		/* caches on */
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$8, $AT(flat)

	.org	unikernel_reset + ROM_RESET_BYTES - 16
	jmp	real
	.org	unikernel_reset + ROM_RESET_BYTES

	.section .note.GNU-stack, "", @progbits
