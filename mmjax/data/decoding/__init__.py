"""Bytes to pictures, sounds, frames and arrays, each with a size limit."""
