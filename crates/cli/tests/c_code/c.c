void increment(unsigned long *hits)
{
	*hits += 1;
}
