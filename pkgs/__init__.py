"""The parts of the project; design.md section 3 says which may import which."""
