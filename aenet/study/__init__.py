"""The paper's variants, and tables over them."""
