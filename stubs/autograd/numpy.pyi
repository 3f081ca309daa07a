# autograd.numpy has the functions of numpy, and takes what is being differentiated in place of arrays.
from numpy import *  # noqa: F403
from numpy import linalg as linalg
