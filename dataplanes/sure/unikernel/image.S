/* SPDX-License-Identifier: BSD-2-Clause */
/* The unikernel's image, in the program: nothing has to be found at run time. UNIKERNEL_IMAGE: its file. */
	.section .rodata
	.globl	unikernel_image, unikernel_image_end
	.align	64
unikernel_image:
	.incbin	UNIKERNEL_IMAGE
unikernel_image_end:
	.byte	0
	.section .note.GNU-stack, "", @progbits
