/* SPDX-License-Identifier: Apache-2.0 */
/* unistd.d - flags of open files; names of types that scripts use */

typedef long long longlong_t;
typedef long long hrtime_t;
typedef long long offset_t;
typedef long time_t;
typedef int boolean_t;
typedef int taskid_t;
typedef int projid_t;
typedef int zoneid_t;
typedef uint_t lwpid_t;

inline int O_RDONLY = 0;
inline int O_WRONLY = 1;
inline int O_RDWR = 2;
inline int O_ACCMODE = 3;
inline int O_CREAT = 64;
inline int O_EXCL = 128;
inline int O_NOCTTY = 256;
inline int O_TRUNC = 512;
inline int O_APPEND = 1024;
inline int O_NDELAY = 2048;
inline int O_NONBLOCK = 2048;
inline int O_DSYNC = 4096;
inline int O_ASYNC = 8192;
inline int O_DIRECT = 16384;
inline int O_LARGEFILE = 32768;
inline int O_DIRECTORY = 65536;
inline int O_NOFOLLOW = 131072;
inline int O_NOATIME = 262144;
inline int O_CLOEXEC = 524288;
inline int O_RSYNC = 1052672;
inline int O_SYNC = 1052672;
inline int O_FSYNC = 1052672;
inline int O_PATH = 2097152;
inline int O_TMPFILE = 4259840;
