"""What every page is made of: desk, door, store, controls, pictures, packing, scripts."""
