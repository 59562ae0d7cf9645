/* SPDX-License-Identifier: Apache-2.0 */
/* io.d - block input and output */
#pragma D depends_on library file.d

typedef struct devinfo {
	int dev_major;
	int dev_minor;
	int dev_instance;
	string dev_name;
	string dev_statname;
	string dev_pathname;
} devinfo_t;

typedef char *caddr_t;

typedef struct bufinfo {
	int b_flags;
	size_t b_bcount;
	caddr_t b_addr;
	uint64_t b_lblkno;
	uint64_t b_blkno;
	size_t b_resid;
	size_t b_bufsize;
	uintptr_t b_iodone;
	int b_error;
	int b_edev;
} bufinfo_t;

inline int B_BUSY = 0x1;
inline int B_DONE = 0x2;
inline int B_ERROR = 0x4;
inline int B_PAGEIO = 0x10;
inline int B_PHYS = 0x20;
inline int B_READ = 0x40;
inline int B_WRITE = 0x100;
inline int B_ASYNC = 0x400;

inline int RW_WRITER = 0;
inline int RW_READER = 1;

/* Operations of a bio's bi_opf: even numbers read, odd ones write; 0x800 is REQ_SYNC. */
inline int __bflags[uint_t op, int status] =
	(1 & op ? B_WRITE : B_READ) | (0x800 & op ? 0 : B_ASYNC) | (0 != status ? B_ERROR : 0) | B_PHYS;

translator bufinfo_t < struct bio *B > {
	b_flags = __bflags[B->bi_opf, B->bi_status];
	b_bcount = B->bi_iter.bi_size;
	b_addr = 0;
	b_lblkno = B->bi_iter.bi_sector;
	b_blkno = B->bi_iter.bi_sector;
	b_resid = 0;
	b_bufsize = B->bi_iter.bi_size;
	b_iodone = (uintptr_t)B->bi_end_io;
	b_error = B->bi_status;
	b_edev = B->bi_bdev ? B->bi_bdev->bd_dev : 0;
};

translator devinfo_t < struct bio *B > {
	dev_major = B->bi_bdev ? getmajor(B->bi_bdev->bd_dev) : 0;
	dev_minor = B->bi_bdev ? getminor(B->bi_bdev->bd_dev) : 0;
	dev_instance = 0;
	dev_name = B->bi_bdev ? stringof(B->bi_bdev->bd_disk->disk_name) : "";
	dev_statname = B->bi_bdev ? stringof(B->bi_bdev->bd_device.kobj.name) : "";
	dev_pathname = B->bi_bdev ? strjoin("/dev/", stringof(B->bi_bdev->bd_device.kobj.name)) : "";
};

/* A request knows the file no more than a bio does. */
translator fileinfo_t < struct bio *B > {
	fi_name = "<none>";
	fi_dirname = "<none>";
	fi_pathname = "<none>";
	fi_offset = 0;
	fi_fs = "<none>";
	fi_mount = "<none>";
	fi_oflags = 0;
};

translator bufinfo_t < struct request *R > {
	b_flags = __bflags[R->cmd_flags, 0];
	b_bcount = R->__data_len;
	b_addr = 0;
	b_lblkno = R->__sector;
	b_blkno = R->__sector;
	b_resid = 0;
	b_bufsize = R->__data_len;
	b_iodone = (uintptr_t)R->end_io;
	b_error = 0;
	b_edev = R->part ? R->part->bd_dev : 0;
};

translator devinfo_t < struct request *R > {
	dev_major = R->part ? getmajor(R->part->bd_dev) : 0;
	dev_minor = R->part ? getminor(R->part->bd_dev) : 0;
	dev_instance = 0;
	dev_name = R->part ? stringof(R->part->bd_disk->disk_name) : "";
	dev_statname = R->part ? stringof(R->part->bd_device.kobj.name) : "";
	dev_pathname = R->part ? strjoin("/dev/", stringof(R->part->bd_device.kobj.name)) : "";
};

translator fileinfo_t < struct request *R > {
	fi_name = "<none>";
	fi_dirname = "<none>";
	fi_pathname = "<none>";
	fi_offset = 0;
	fi_fs = "<none>";
	fi_mount = "<none>";
	fi_oflags = 0;
};
