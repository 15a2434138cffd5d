"""The Cost page: what an attack costs a dynamically quantized model, and what can be done."""
