"""The tokens room of Cost: what an attack costs a model that lets tokens sleep."""
