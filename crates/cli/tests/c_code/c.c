void increment(unsigned long *hits)
{
	*hits += 1;
}

void store_half(unsigned int *half)
{
	*half = 7;
}
