//! dp-shm
