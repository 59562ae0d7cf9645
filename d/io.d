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

/* Error numbers of the block layer's (blk_status_t). */
inline int __bioerror[int status] = status == 0 ? 0 : status == 1 ? 95 : status == 2 ? 110 : status == 3 ? 28 :
	status == 4 ? 67 : status == 5 ? 121 : status == 6 ? 52 : status == 7 ? 61 : status == 8 ? 84 :
	status == 9 ? 12 : status == 12 ? 11 : 5;

/* A request's end tells its status beside the bio (__event_status), a bio's end in it. */
translator bufinfo_t < struct bio *B > {
	b_flags = __bflags[B->bi_opf, __event_status];
	b_flags = __bflags[B->bi_opf, B->bi_status];
	b_bcount = B->bi_iter.bi_size;
	b_addr = 0;
	b_lblkno = B->bi_iter.bi_sector;
	b_blkno = B->bi_iter.bi_sector;
	b_resid = 0;
	b_bufsize = B->bi_iter.bi_size;
	b_iodone = (uintptr_t)B->bi_end_io;
	b_error = __bioerror[__event_status];
	b_error = __bioerror[B->bi_status];
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

/*
 * The file that the first page of a bio belongs to.  Pages of the page cache know it; those of direct input and output
 * are memory of a process, whose address in `mapping` is odd, or of a file system without a device.
 */
inline struct address_space *__biomapping[struct bio *B] =
	B->bi_io_vec && B->bi_io_vec->bv_page ?
	((struct page *)(uintptr_t)B->bi_io_vec->bv_page)->mapping : NULL;
inline struct inode *__bioinode[struct bio *B] =
	__biomapping[B] && !((uintptr_t)__biomapping[B] & 3) ? __biomapping[B]->host : NULL;
inline struct dentry *__inodedentry[struct inode *I] =
	(struct dentry *)((uintptr_t)I->i_dentry.first -
	__first(offsetof(struct dentry, d_u), offsetof(struct dentry, d_alias)));
inline int __bionamed[struct bio *B] =
	__bioinode[B] && (__bioinode[B]->i_mode & 0xf000) != 0x6000 && __bioinode[B]->i_sb->s_bdev &&
	__bioinode[B]->i_dentry.first;
/* One of the places where the file system is mounted. */
inline struct vfsmount *__sbmount[struct super_block *S] = __first(&S->s_mounts->mnt,
	&((struct mount *)((uintptr_t)S->s_mounts.next - offsetof(struct mount, mnt_instance)))->mnt);

translator fileinfo_t < struct bio *B > {
	fi_name = __bionamed[B] ? stringof(__inodedentry[__bioinode[B]]->d_name.name) : "<none>";
	fi_dirname = __bionamed[B] ?
		dirname(__path(__sbmount[__bioinode[B]->i_sb], __inodedentry[__bioinode[B]])) : "<none>";
	fi_pathname = __bionamed[B] ?
		__path(__sbmount[__bioinode[B]->i_sb], __inodedentry[__bioinode[B]]) : "<none>";
	fi_offset = __bionamed[B] ?
		__first(B->bi_io_vec->bv_page->index, B->bi_io_vec->bv_page->__folio_index) * 4096 : 0;
	fi_fs = __bionamed[B] ? stringof(__bioinode[B]->i_sb->s_type->name) : "<none>";
	fi_mount = __bionamed[B] ?
		__path(__sbmount[__bioinode[B]->i_sb], __bioinode[B]->i_sb->s_root) : "<none>";
	fi_oflags = 0;
};

/* A request is its first bio. */
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

/* A thread that waits says for nothing in particular. */
struct __iowait {
	int unused;
};

translator bufinfo_t < struct __iowait *W > {
	b_flags = 0;
	b_bcount = 0;
	b_addr = 0;
	b_lblkno = 0;
	b_blkno = 0;
	b_resid = 0;
	b_bufsize = 0;
	b_iodone = 0;
	b_error = 0;
	b_edev = 0;
};

translator devinfo_t < struct __iowait *W > {
	dev_major = 0;
	dev_minor = 0;
	dev_instance = 0;
	dev_name = "<none>";
	dev_statname = "<none>";
	dev_pathname = "<none>";
};

translator fileinfo_t < struct __iowait *W > {
	fi_name = "<none>";
	fi_dirname = "<none>";
	fi_pathname = "<none>";
	fi_offset = 0;
	fi_fs = "<none>";
	fi_mount = "<none>";
	fi_oflags = 0;
};
