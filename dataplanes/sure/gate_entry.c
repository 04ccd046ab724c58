/* SPDX-License-Identifier: BSD-2-Clause */
/*
 *   gate_enter       save registers and stack in trusted memory
 *                    close        | checked: a jump here with other arguments traps
 *                    user's stack, call run
 *                    open         | checked, the same
 *                    trusted stack (faults unless trusted memory is really open), registers, return
 */
#include "dataplanes/sure/gate_entry.h"

_Static_assert(sizeof(struct gate_page) == 4096, "the page holds nothing else");
_Static_assert(offsetof(struct gate_page, trusted_bytes) == 8, "used below");
_Static_assert(offsetof(struct gate_page, buffers) == 16, "used below");
_Static_assert(offsetof(struct gate_page, end) == 24, "used below");
_Static_assert(offsetof(struct gate_page, fs_base) == 32, "used below");
_Static_assert(offsetof(struct gate_page, restore_fs) == 40, "used below");
_Static_assert(GATE_KEY_TRUSTED == 1 && GATE_KEY_CLOSED == 2, "the PKRU values below");

/*
 * PKRU has two bits per key: access disabled, write disabled. User code reaches key 0 only, trusted
 * code also key 1.
 */
#define PKRU_USER "0x55555554"
#define PKRU_TRUSTED "0x55555550"

#define ENTRY(name)                                                                                \
	".globl " name "\n.hidden " name "\n.type " name ", @function\n.p2align 4\n" name ":\n"
#define MARK(name) ".globl " name "\n.hidden " name "\n" name ":\n"

#define SAVE                                                                                       \
	"	push	%rbx\n"                                                                    \
	"	push	%rbp\n"                                                                    \
	"	push	%r12\n"                                                                    \
	"	push	%r13\n"                                                                    \
	"	push	%r14\n"                                                                    \
	"	push	%r15\n"                                                                    \
	"	mov	%rdi, %r12\n"           /* run */                                          \
	"	mov	%rsi, %r13\n"           /* arg */                                          \
	"	mov	%rdx, %r14\n"           /* stack */                                        \
	"	mov	gate_page(%rip), %r10\n"                                                   \
	"	mov	%rsp, 8(%r10)\n"

#define CALL_USER                                                                                  \
	"	mov	%r14, %rsp\n"                                                              \
	"	mov	%r13, %rdi\n"                                                              \
	"	xor	%ebp, %ebp\n"                                                              \
	"	call	*%r12\n"

/* A function may have left the direction flag or the thread pointer as it liked. */
#define RESTORE                                                                                    \
	"	mov	gate_page(%rip), %r10\n"                                                   \
	"	mov	8(%r10), %rsp\n"                                                           \
	"	cld\n"                                                                             \
	"	cmpq	$0, 40+gate_page(%rip)\n"                                                  \
	"	je	1f\n"                                                                      \
	"	mov	32+gate_page(%rip), %r10\n"                                                \
	"	wrfsbase %r10\n"                                                                   \
	"1:\n"                                                                                     \
	"	pop	%r15\n"                                                                    \
	"	pop	%r14\n"                                                                    \
	"	pop	%r13\n"                                                                    \
	"	pop	%r12\n"                                                                    \
	"	pop	%rbp\n"                                                                    \
	"	pop	%rbx\n"                                                                    \
	"	ret\n"

/* mprotect(trusted memory, `protection`), then: was it really that? The kernel keeps the arguments. */
#define PROTECT(protection, mark)                                                                  \
	"	mov	gate_page(%rip), %rdi\n"                                                   \
	"	mov	8+gate_page(%rip), %rsi\n"                                                 \
	"	mov	$" protection ", %edx\n"                                                   \
	"	mov	$10, %eax\n"            /* __NR_mprotect */                                \
	"	syscall\n"                                                                         \
	MARK(mark)                                                                                 \
	"	test	%rax, %rax\n"                                                              \
	"	jnz	9f\n"                                                                      \
	"	cmp	gate_page(%rip), %rdi\n"                                                   \
	"	jne	9f\n"                                                                      \
	"	cmp	8+gate_page(%rip), %rsi\n"                                                 \
	"	jne	9f\n"                                                                      \
	"	cmp	$" protection ", %rdx\n"                                                   \
	"	jne	9f\n"

#define SET_PKRU(value)                                                                            \
	"	xor	%ecx, %ecx\n"                                                              \
	"	xor	%edx, %edx\n"                                                              \
	"	mov	$" value ", %eax\n"                                                        \
	"	wrpkru\n"                                                                          \
	"	cmp	$" value ", %eax\n"                                                        \
	"	jne	9f\n"

#define TRAP "9:	ud2\n"

/* Only buffers, and only for who has trusted memory open: the load of the magic faults for others. */
#define BUFFER_CHECK                                                                               \
	"	test	%rax, %rax\n"                                                              \
	"	jnz	9f\n"                                                                      \
	"	cmp	16+gate_page(%rip), %rdi\n"                                                \
	"	jb	9f\n"                                                                      \
	"	mov	24+gate_page(%rip), %r11\n"                                                \
	"	sub	%rdi, %r11\n"                                                              \
	"	jb	9f\n"                                                                      \
	"	cmp	%r11, %rsi\n"                                                              \
	"	ja	9f\n"                                                                      \
	"	mov	gate_page(%rip), %r11\n"                                                   \
	"	mov	(%r11), %r11\n"                                                            \
	"	ret\n"

__asm__(".text\n"
	ENTRY("gate_enter_mprotect")
	SAVE
	PROTECT("0", "gate_at_close")
	CALL_USER
	PROTECT("3", "gate_at_open")
	RESTORE
	TRAP

	ENTRY("gate_enter_mpk")
	SAVE
	SET_PKRU(PKRU_USER)
	CALL_USER
	SET_PKRU(PKRU_TRUSTED)
	RESTORE
	TRAP

	ENTRY("gate_buffer_mprotect")
	"	mov	$10, %eax\n"            /* __NR_mprotect */
	"	syscall\n"
	MARK("gate_at_buffer")
	BUFFER_CHECK
	TRAP

	ENTRY("gate_buffer_mpk")
	"	mov	%rcx, %r10\n"
	"	mov	$329, %eax\n"           /* __NR_pkey_mprotect */
	"	syscall\n"
	MARK("gate_at_key")
	BUFFER_CHECK
	TRAP

	/* int gate_on_stack(body, arg, stack) */
	".globl gate_on_stack\n.type gate_on_stack, @function\n.p2align 4\ngate_on_stack:\n"
	"	push	%rbp\n"
	"	mov	%rsp, %rbp\n"
	"	mov	%rdi, %rax\n"
	"	mov	%rsi, %rdi\n"
	"	mov	%rdx, %rsp\n"
	"	call	*%rax\n"
	"	mov	%rbp, %rsp\n"
	"	pop	%rbp\n"
	"	ret\n");
