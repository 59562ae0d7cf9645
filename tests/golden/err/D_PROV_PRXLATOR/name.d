provider p {
	probe a(int n, int m) : (int k);
	probe b(int) : (int, int);
};
