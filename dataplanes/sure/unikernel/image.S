/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The unikernel and the program that it is compared with (linux/function.c), in perhop itself: nothing has
 * to be found at run time. UNIKERNEL_IMAGE, FUNCTION_IMAGE: their files.
 */
	.section .rodata
	.globl	unikernel_image, unikernel_image_bytes, function_image, function_image_bytes
	.align	64
unikernel_image:
	.incbin	UNIKERNEL_IMAGE
1:
	.align	8
unikernel_image_bytes:
	.quad	1b - unikernel_image
	.align	64
function_image:
	.incbin	FUNCTION_IMAGE
2:
	.align	8
function_image_bytes:
	.quad	2b - function_image

	.section .note.GNU-stack, "", @progbits
