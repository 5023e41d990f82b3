//! The test bench: real kernels, a real containerd, a real Collector and Loki, and the demo that runs them.

pub mod accesses;
pub mod bench;
pub mod cgroup;
pub mod churn;
pub mod cluster;
pub mod containerd;
pub mod daemon;
pub mod demo;
pub mod digest;
pub mod exporter;
pub mod folder;
pub mod fuzz;
pub mod image;
pub mod initramfs;
pub mod interrupt;
pub mod kernels;
pub mod kubernetes;
pub mod load;
pub mod loki;
pub mod namespaces;
pub mod podman;
pub mod privileges;
pub mod stack;
pub mod tools;
pub mod vm;
