/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The unikernel, the program that it is compared with (linux/function.c) and what makes a QEMU a warm one, in
 * perhop itself: nothing has to be found at run time. UNIKERNEL_IMAGE, FUNCTION_IMAGE, WARM_IMAGE: their files.
 */
	.section .rodata
	.globl	unikernel_image, unikernel_image_bytes, function_image, function_image_bytes
	.globl	warm_image, warm_image_bytes
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
	.align	64
warm_image:
	.incbin	WARM_IMAGE
3:
	.align	8
warm_image_bytes:
	.quad	3b - warm_image

	.section .note.GNU-stack, "", @progbits
