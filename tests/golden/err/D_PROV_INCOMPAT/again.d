provider p {
	probe a(int);
	probe b(char *);
};
provider p {
	probe a(int);
	probe b(int);
};
