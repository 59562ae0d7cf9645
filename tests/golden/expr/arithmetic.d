BEGIN
{
	i = 1; u = 2U; l = 3L; ul = 4UL; ll = 5LL; c = (char)6; us = (unsigned short)7;
	r1 = i + u; r2 = u - l; r3 = l * ul; r4 = c / us; r5 = i % c; r6 = ll ^ ul;
	r7 = -c; r8 = ~us; r9 = !l; r10 = +c; r11 = c & us | i;
}
