//! fexit and kprobe, in a machine with Debian's kernel: the development machine's own has neither.
