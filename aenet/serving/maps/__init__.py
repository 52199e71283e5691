"""Imagery as people have it: rasters, mosaics, tile trees and tables, cut into polar views."""
