"""Circuit model: graphs, Kirchhoff's laws, gradients; imports neither hardware nor learning code."""
