"""Adapters: one package a format. Each turns inputs into the record contract of `lyceum.records`; nothing after knows the format."""
