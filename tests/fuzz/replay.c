/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.c - stands in for libFuzzer in ordinary builds: gives a fuzzer every file of the folders named, and the empty
 * input.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *folder, const char *name)
{
	char path[4096];
	FILE *f;
	long size;
	uint8_t *data;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rb");
	if (!f || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0) {
		perror(path);
		return 1;
	}
	rewind(f);
	/* exactly as large as the input, so that the sanitizers see every step beyond it */
	data = malloc((size_t)size);
	if ((!data && size > 0) || fread(data, 1, (size_t)size, f) != (size_t)size) {
		perror(path);
		return 1;
	}
	fclose(f);
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(data, (size_t)size);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	int failed = 0, n = 0;

	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		struct dirent *e;

		while (d && (e = readdir(d)) != NULL) {
			if (e->d_name[0] == '.')
				continue;
			failed |= replay_file(argv[i], e->d_name);
			n++;
		}
		if (d)
			closedir(d);
	}
	fprintf(stderr, "%d inputs\n", n);
	return failed;
}
