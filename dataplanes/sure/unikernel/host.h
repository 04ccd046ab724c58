/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's side of sure:unikernel. */
#ifndef PERHOP_DATAPLANES_SURE_UNIKERNEL_HOST_H
#define PERHOP_DATAPLANES_SURE_UNIKERNEL_HOST_H

#include "dataplanes/sure/unikernel/unikernel.h"

enum machine_type { MACHINE_MICROVM, MACHINE_Q35 };

/* What the watch knows of one guest. */
struct vigil {
	uint64_t progress, since_ns;
	bool rung;
};

/* The deployment's, in the parent; children inherit it. */
struct unikernel {
	unsigned char *window;
	size_t bytes;
	int window_fd, image_fd; /* the image: a ROM on microvm, else an ELF file */
	int doors[INSTANCE_MAX]; /* eventfds; [GATEWAY] is the hall's */
	const char *image_path; /* of the deployment's spec; "": the image in the program */
	enum machine_type machine;
	bool kvm;
	unsigned memory_mib;
	uint64_t tsc_khz;
	uint64_t offset[7]; /* of the parts of the window, see enum part */
	struct vigil vigil[INSTANCE_MAX];
};

static inline struct unikernel_page *unikernel_page(const struct unikernel *u, instance_id id)
{
	return (struct unikernel_page *)(u->window + (size_t)id * UNIKERNEL_PAGE);
}

/* qemu.c: can KVM really run a virtual machine here? It is tried. */
bool qemu_kvm_works(void);

/* Turn this process into the virtual machine of instance `id` of `n`. Returns -errno only. */
int qemu_exec(const struct unikernel *u, instance_id id, unsigned n);

/*
 * Turn this process into a QEMU that forks virtual machines on request: `preload` is a file with warm_image in it,
 * `control` an end of a socket pair of packets, on which a byte says that it is ready. Returns -errno only.
 */
int qemu_exec_warm(const struct unikernel *u, int preload, int control);

/* Have it fork that of instance `id` of `n`; `control`: the pair's other end. 0 or -errno. */
int qemu_ask_warm(const struct unikernel *u, int control, instance_id id, unsigned n);

/* A socket whose other end holds all that an ivshmem server would say to peer `id`. Or -errno. */
int ivshmem_greeting(const struct unikernel *u, instance_id id, unsigned n);

/* image.S: the unikernel, an ELF file. */
extern const unsigned char unikernel_image[];
extern const uint64_t unikernel_image_bytes;

/* And linux/function.c, a static program; 0 bytes: it could not be built. */
extern const unsigned char function_image[];
extern const uint64_t function_image_bytes;

/* And preload/warm.c, a shared object. */
extern const unsigned char warm_image[];
extern const uint64_t warm_image_bytes;

/* Write what instance `id` must know into its page of the window. */
void unikernel_write_page(const struct unikernel *u, const struct deployment *d, instance_id id);

#endif
