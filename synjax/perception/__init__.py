"""Stand-ins for D_KL[p_X || p_X̂] that training may minimise."""
