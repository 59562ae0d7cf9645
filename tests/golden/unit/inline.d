inline int LIMIT = 10;
inline string NAME = "abc";
inline int twice[int i] = i * 2;
inline int sum3[int a, int b, int c] = a + b + c;
inline uint64_t now = timestamp;
inline int nested = twice[LIMIT] + 1;
int arr[LIMIT * 2];
BEGIN
{
	trace(LIMIT); printf(NAME); trace(twice[pid]); trace(sum3[1, pid, x++]); trace(now); trace(nested); trace(twice[strlen(execname)]);
}
