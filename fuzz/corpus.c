/* corpus.c - a fuzz target without a fuzzer: each file of the command line once. What was found stays found. */
#include "check.h"

#include <stdio.h>

enum { INPUT_MAX = 1 << 20 };

static bool run(const char *path, uint8_t *bytes)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL) {
		printf("# %s: cannot be opened\n", path);
		return false;
	}
	n = fread(bytes, 1, INPUT_MAX, f);
	(void)fclose(f);
	printf("# %s\n", path);         /* the last one that is printed is the one that crashed */
	(void)fflush(stdout);
	if (n == 0)
		return LLVMFuzzerTestOneInput(bytes, 0) == 0;
	/* Of its own size, so that a read beyond it is seen. */
	uint8_t *own = malloc(n);

	if (own == NULL)
		return false;
	memcpy(own, bytes, n);
	(void)LLVMFuzzerTestOneInput(own, n);
	free(own);
	return true;
}

int main(int argc, char **argv)
{
	uint8_t *bytes = malloc(INPUT_MAX);
	bool fine = bytes != NULL && argc > 1;

	for (int i = 1; i < argc && fine; i++)
		fine = run(argv[i], bytes);
	free(bytes);
	return !fine;
}
