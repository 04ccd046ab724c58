/* SPDX-License-Identifier: BSD-2-Clause */
/* The unikernel's image, in the program: nothing has to be found at run time. UNIKERNEL_IMAGE: its file. */
	.section .rodata
	.globl	unikernel_image, unikernel_image_bytes
	.align	64
unikernel_image:
	.incbin	UNIKERNEL_IMAGE
1:
	.align	8
unikernel_image_bytes:
	.quad	1b - unikernel_image
	.section .note.GNU-stack, "", @progbits
