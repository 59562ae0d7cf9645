// one
/* two */ BEGIN // three
{ /* four
*/ trace(1); // five
}
