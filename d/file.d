/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.d - open files.
 *
 * A file that is not there has empty members.  Paths are as the process sees them.
 */

typedef struct fileinfo {
	string fi_name;
	string fi_dirname;
	string fi_pathname;
	uint64_t fi_offset;
	string fi_fs;
	string fi_mount;
	int fi_oflags;
} fileinfo_t;

translator fileinfo_t < struct file *F > {
	fi_name = F ? stringof(F->f_path.dentry->d_name.name) : "";
	fi_dirname = F ? dirname(__path(F->f_path.mnt, F->f_path.dentry)) : "";
	fi_pathname = F ? d_path(&F->f_path) : "";
	fi_offset = F ? F->f_pos : 0;
	fi_fs = F ? stringof(F->f_inode->i_sb->s_type->name) : "";
	fi_mount = F ? __path(F->f_path.mnt, F->f_path.mnt->mnt_root) : "";
	fi_oflags = F ? F->f_flags : 0;
};

inline fileinfo_t fds[int fd] = xlate <fileinfo_t>(getf(fd));

inline string cwd = __path(curthread->fs->pwd.mnt, curthread->fs->pwd.dentry);
inline string root = __rootpath(curthread->fs->root.mnt, curthread->fs->root.dentry);
