"""The physics: graphs, Kirchhoff's laws, gradients. Nothing here knows of hardware or learning."""
