/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for a header that the system's <dtrace.h> asks for and that is not packaged everywhere: the names of
 * two types, of which the binding uses neither.
 */
#ifndef PY_COMPAT_CTF_API_H
#define PY_COMPAT_CTF_API_H

typedef struct ctf_dict ctf_file_t;
typedef long ctf_id_t;

#endif
